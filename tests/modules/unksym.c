// SPDX-License-Identifier: LGPL-2.1-or-later
/* Needs one symbol of another module and one of nobody. */
#include <linux/module.h>

int good_exported(void);
int nowhere_to_be_found(void);

static int __init on_load(void)
{
	return good_exported() + nowhere_to_be_found();
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Cannot be linked");
MODULE_LICENSE("GPL");
