// SPDX-License-Identifier: LGPL-2.1-or-later
/* Everything one can say of a module without doing anything. */
#include <linux/mod_devicetable.h>
#include <linux/module.h>

static const struct pci_device_id pci_ids[] = {
	{ .vendor = 0x1af4, .device = 0x10f1, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID },
	{ .vendor = 0x1af4, .device = 0x10f2, .subvendor = 0x1af4, .subdevice = 0x0001 },
	{ }
};
MODULE_DEVICE_TABLE(pci, pci_ids);

static const struct usb_device_id usb_ids[] = {
	{
		.match_flags = USB_DEVICE_ID_MATCH_VENDOR | USB_DEVICE_ID_MATCH_PRODUCT,
		.idVendor = 0x1d6b,
		.idProduct = 0x7357,
	},
	{ }
};
MODULE_DEVICE_TABLE(usb, usb_ids);

static int __init described_init(void)
{
	return 0;
}

static void __exit described_exit(void)
{
}

module_init(described_init);
module_exit(described_exit);
MODULE_AUTHOR("First Author <first@example.org>");
MODULE_AUTHOR("Zweite Autorin mit Umläuten <zweite@example.org>");
MODULE_DESCRIPTION("Says all a module can say of itself");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("1.2.3-test");
MODULE_ALIAS("lkm-test-alias");
MODULE_ALIAS("lkm-test-*-pattern");
MODULE_FIRMWARE("lkm/test.fw");
MODULE_SOFTDEP("pre: hello post: params");
MODULE_INFO(an_own_field_with_a_long_name, "and = in its value");
