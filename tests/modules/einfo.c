// SPDX-License-Identifier: LGPL-2.1-or-later
/* Proprietary, and without an exit function: it taints and stays. */
#include <linux/module.h>

static int __init on_load(void)
{
	pr_info("noexit: init\n");
	return 0;
}

module_init(on_load);
MODULE_DESCRIPTION("Cannot be unloaded but by force");
MODULE_LICENSE("Proprietary");
