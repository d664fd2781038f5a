// SPDX-License-Identifier: LGPL-2.1-or-later
/* Holds a reference on itself while the parameter says so. */
#include <linux/module.h>

static bool held;

static int set_held(const char *value, const struct kernel_param *parameter)
{
	bool wanted;
	int error = kstrtobool(value, &wanted);

	if (error)
		return error;
	if (wanted && !held && !try_module_get(THIS_MODULE))
		return -ENOENT;
	if (!wanted && held)
		module_put(THIS_MODULE);
	held = wanted;
	return 0;
}

static const struct kernel_param_ops held_ops = { .set = set_held, .get = param_get_bool };
module_param_cb(held, &held_ops, &held, 0644);
MODULE_PARM_DESC(held, "Whether it is in use");

static int __init busy_init(void)
{
	return 0;
}

static void __exit busy_exit(void)
{
}

module_init(busy_init);
module_exit(busy_exit);
MODULE_DESCRIPTION("Is in use when told so");
MODULE_LICENSE("GPL");
