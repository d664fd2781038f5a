// SPDX-License-Identifier: LGPL-2.1-or-later
/* init allocates and forgets. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	char *text = kmalloc(100, GFP_KERNEL);

	if (!text)
		return -ENOMEM;
	strscpy(text, "forgotten", 100);
	pr_info("leak: %s\n", text);
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Never frees what it allocates");
MODULE_LICENSE("GPL");
