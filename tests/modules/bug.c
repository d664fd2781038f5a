// SPDX-License-Identifier: LGPL-2.1-or-later
/* init runs into a BUG. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	BUG_ON(THIS_MODULE->state == MODULE_STATE_COMING);
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Runs into a BUG");
MODULE_LICENSE("GPL");
