// SPDX-License-Identifier: LGPL-2.1-or-later
/* Uses an export of good, which can then not be unloaded. */
#include <linux/module.h>

int good_exported(void);

static int __init on_load(void)
{
	pr_info("busyref: good_exported=%d\n", good_exported());
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Holds another module");
MODULE_LICENSE("GPL");
