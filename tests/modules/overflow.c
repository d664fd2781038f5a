// SPDX-License-Identifier: LGPL-2.1-or-later
/* init writes one byte past what it allocated. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	volatile char *bytes = kmalloc(100, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	bytes[100] = 1;
	kfree((void *)bytes);
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Writes past the end of an allocation");
MODULE_LICENSE("GPL");
