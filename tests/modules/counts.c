// SPDX-License-Identifier: GPL-2.0
/* Runs a loop of as many basic blocks as its parameter says. */
#include <linux/module.h>

static ulong blocks = 1;
module_param(blocks, ulong, 0);

static int __init start(void)
{
	ulong left = blocks;

	while (left--)
		barrier();
	return 0;
}

static void __exit stop(void)
{
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
