// SPDX-License-Identifier: LGPL-2.1-or-later
/* Forgets the byte that ends a string: `lkm try examples/overflow/overflow.c --guard`. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *greeting = "sixteen letters!";
module_param(greeting, charp, 0444);
MODULE_PARM_DESC(greeting, "what to remember");

static char *copy;

static int __init overflow_init(void)
{
	copy = kmalloc(strlen(greeting), GFP_KERNEL);	/* + 1 */
	if (!copy)
		return -ENOMEM;
	strcpy(copy, greeting);
	pr_info("overflow: remembered %s\n", copy);
	return 0;
}

static void __exit overflow_exit(void)
{
	kfree(copy);
}

module_init(overflow_init);
module_exit(overflow_exit);
MODULE_DESCRIPTION("A string without room for its end");
MODULE_LICENSE("GPL");
