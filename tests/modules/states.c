// SPDX-License-Identifier: LGPL-2.1-or-later
/* Logs the states that other modules go through. */
#include <linux/module.h>
#include <linux/notifier.h>

static const char *const names[] = { "live", "coming", "going", "unformed" };

static int on_change(struct notifier_block *block, unsigned long state, void *data)
{
	struct module *module = data;

	pr_info("states: %s %s\n", module->name, names[state & 3]);
	return NOTIFY_OK;
}

static struct notifier_block block = { .notifier_call = on_change };

static int __init states_init(void)
{
	return register_module_notifier(&block);
}

static void __exit states_exit(void)
{
	unregister_module_notifier(&block);
}

module_init(states_init);
module_exit(states_exit);
MODULE_DESCRIPTION("Logs the states of modules");
MODULE_LICENSE("GPL");
