// SPDX-License-Identifier: LGPL-2.1-or-later
/* init reads what it has freed. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	volatile char *bytes = kmalloc(100, GFP_KERNEL);

	if (!bytes)
		return -ENOMEM;
	bytes[0] = 1;
	kfree((void *)bytes);
	if (bytes[0] == 2)
		pr_info("use_after_free: still there\n");
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Reads freed memory");
MODULE_LICENSE("GPL");
