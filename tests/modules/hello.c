// SPDX-License-Identifier: LGPL-2.1-or-later
/* The smallest module that can be loaded and unloaded. */
#include <linux/module.h>

static int __init hello_init(void)
{
	pr_info("hello: loaded\n");
	return 0;
}

static void __exit hello_exit(void)
{
	pr_info("hello: unloaded\n");
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("Says hello and goodbye");
MODULE_LICENSE("GPL");
