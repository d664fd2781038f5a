// SPDX-License-Identifier: LGPL-2.1-or-later
/* Grows and shrinks memory, asks for its size, frees by RCU: all of it allowed. */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct counted {
	struct rcu_head rcu;
	char text[100];
};

static char *text;

static int __init on_load(void)
{
	struct counted *counted = kzalloc(sizeof(*counted), GFP_KERNEL);
	char *grown;

	if (!counted)
		return -ENOMEM;
	kfree_rcu(counted, rcu);
	text = kmalloc(24, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	strscpy(text, "all of it", 24);
	grown = krealloc(text, 5000, GFP_KERNEL);
	if (!grown) {
		kfree(text);
		return -ENOMEM;
	}
	text = grown;
	memset(text + 24, 'x', 5000 - 24);
	if (strcmp(text, "all of it") || ksize(text) < 5000)
		return -EINVAL;
	text = krealloc(text, 12, GFP_KERNEL);
	return strcmp(text, "all of it") ? -EINVAL : 0;
}

static void __exit on_unload(void)
{
	kfree_sensitive(text);
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Does everything with memory that is allowed");
MODULE_LICENSE("GPL");
