// SPDX-License-Identifier: LGPL-2.1-or-later
/* Needs a symbol that nobody has. */
#include <linux/module.h>

int lkm_test_nowhere(int a);

static int __init unknown_symbol_init(void)
{
	return lkm_test_nowhere(0);
}

module_init(unknown_symbol_init);
MODULE_DESCRIPTION("Needs a symbol that does not exist");
MODULE_LICENSE("GPL");
