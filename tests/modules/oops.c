// SPDX-License-Identifier: LGPL-2.1-or-later
/* init writes through a null pointer. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	*(volatile int *)NULL = 1;
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Writes through a null pointer");
MODULE_LICENSE("GPL");
