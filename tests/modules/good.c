// SPDX-License-Identifier: LGPL-2.1-or-later
/* Parameters, an export, and lines that say what it was given: for replaying load scenarios. */
#include <linux/module.h>

static int num = 1;
static char *name = "x";
static bool flag;
static int arr[4];
static int n_arr;

module_param(num, int, 0644);
MODULE_PARM_DESC(num, "A number");
module_param(name, charp, 0444);
module_param(flag, bool, 0600);
module_param_array(arr, int, &n_arr, 0444);

int good_exported(void)
{
	return num;
}
EXPORT_SYMBOL_GPL(good_exported);

static int __init on_load(void)
{
	pr_info("good: init num=%d name=%s flag=%d n_arr=%d\n", num, name, flag, n_arr);
	return 0;
}

static void __exit on_unload(void)
{
	pr_info("good: exit num=%d\n", num);
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Behaves well");
MODULE_LICENSE("GPL");
