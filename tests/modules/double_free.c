// SPDX-License-Identifier: LGPL-2.1-or-later
/* init frees twice. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	void *bytes = kmalloc(100, GFP_KERNEL);

	kfree(bytes);
	barrier_data(bytes);
	kfree(bytes);
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Frees the same memory twice");
MODULE_LICENSE("GPL");
