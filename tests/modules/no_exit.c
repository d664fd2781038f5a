// SPDX-License-Identifier: LGPL-2.1-or-later
/* Has init and no exit, so that it stays until the machine is switched off. */
#include <linux/module.h>

static int __init no_exit_init(void)
{
	return 0;
}

module_init(no_exit_init);
MODULE_DESCRIPTION("Cannot be unloaded");
MODULE_LICENSE("GPL");
