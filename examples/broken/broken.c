// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Works on every machine with memory to spare, and has two bugs that only a failing allocation
 * shows: `lkm try examples/broken --fail-alloc each` finds both.
 */
#include <linux/module.h>
#include <linux/slab.h>

#define SLOTS 64

struct cache {
	char *names;
	unsigned long *slots;
	char *journal;
};

static struct cache *cache;

static int __init broken_init(void)
{
	cache = kzalloc(sizeof(*cache), GFP_KERNEL);
	if (!cache)
		return -ENOMEM;

	cache->names = kmalloc(4096, GFP_KERNEL);
	if (!cache->names) {
		kfree(cache);
		return -ENOMEM;
	}

	cache->slots = kcalloc(SLOTS, sizeof(*cache->slots), GFP_KERNEL);
	if (!cache->slots) {
		kfree(cache);	/* the first bug: cache->names is forgotten */
		return -ENOMEM;
	}

	cache->journal = kmalloc(512, GFP_KERNEL);
	cache->journal[0] = '\0';	/* the second bug: it may be NULL */

	pr_info("broken: %d slots\n", SLOTS);
	return 0;
}

static void __exit broken_exit(void)
{
	kfree(cache->journal);
	kfree(cache->slots);
	kfree(cache->names);
	kfree(cache);
	pr_info("broken: gone\n");
}

module_init(broken_init);
module_exit(broken_exit);

MODULE_AUTHOR("The lkm authors");
MODULE_DESCRIPTION("Two bugs that a failing allocation shows");
MODULE_LICENSE("GPL");
