// SPDX-License-Identifier: LGPL-2.1-or-later
/* Several allocations, each checked and given back: what fault injection must not break. */
#include <linux/module.h>
#include <linux/slab.h>

static void *blocks[4];

static void give_back(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		kfree(blocks[i]);
}

static int __init allocates_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		blocks[i] = kzalloc(64 << i, GFP_KERNEL);
		if (!blocks[i]) {
			give_back();
			return -ENOMEM;
		}
	}
	return 0;
}

static void __exit allocates_exit(void)
{
	give_back();
}

module_init(allocates_init);
module_exit(allocates_exit);
MODULE_DESCRIPTION("Allocates with care");
MODULE_LICENSE("GPL");
