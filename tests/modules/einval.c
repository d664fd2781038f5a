// SPDX-License-Identifier: LGPL-2.1-or-later
/* init returns the number it is given. */
#include <linux/module.h>

static int ret = -EINVAL;
module_param(ret, int, 0444);

static int __init on_load(void)
{
	pr_info("einval: init returns %d\n", ret);
	return ret;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Fails as told");
MODULE_LICENSE("GPL");
