// SPDX-License-Identifier: LGPL-2.1-or-later
/* init returns what the parameter says: a negative errno, or a positive number. */
#include <linux/module.h>

static int result = -ENODEV;
module_param(result, int, 0444);
MODULE_PARM_DESC(result, "What init returns");

static int __init init_fails_init(void)
{
	return result;
}

static void __exit init_fails_exit(void)
{
}

module_init(init_fails_init);
module_exit(init_fails_exit);
MODULE_DESCRIPTION("Fails with a chosen error");
MODULE_LICENSE("GPL");
