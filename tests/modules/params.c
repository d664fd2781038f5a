// SPDX-License-Identifier: LGPL-2.1-or-later
/* A parameter of every type, with every kind of permission. */
#include <linux/module.h>

static bool a_bool;
static bool an_invbool;
static char *a_charp = "text";
static char a_string[16] = "sixteen";
static unsigned char a_byte = 1;
static short a_short = -2;
static unsigned short a_ushort = 3;
static int an_int = -4;
static unsigned int a_uint = 5;
static long a_long = -6;
static unsigned long a_ulong = 7;
static unsigned long long a_ullong = 8;
static unsigned int a_hexint = 0x9;
static int an_array[4] = { 1, 2 };
static unsigned int array_count = 2;
static bool bools[3];
static int hidden;
static int inside = 10;
static int even;

module_param(a_bool, bool, 0644);
MODULE_PARM_DESC(a_bool, "A truth value: with a colon");
module_param(an_invbool, invbool, 0444);
module_param(a_charp, charp, 0644);
MODULE_PARM_DESC(a_charp, "Text of any length");
module_param_string(a_string, a_string, sizeof(a_string), 0644);
MODULE_PARM_DESC(a_string, "Text of at most 15 bytes");
module_param(a_byte, byte, 0644);
module_param(a_short, short, 0644);
module_param(a_ushort, ushort, 0644);
module_param(an_int, int, 0644);
MODULE_PARM_DESC(an_int, "A number");
module_param(a_uint, uint, 0600);
module_param(a_long, long, 0444);
module_param(a_ulong, ulong, 0444);
module_param(a_ullong, ullong, 0444);
module_param(a_hexint, hexint, 0444);
module_param_array(an_array, int, &array_count, 0644);
MODULE_PARM_DESC(an_array, "Up to four numbers");
module_param_array(bools, bool, NULL, 0);
module_param(hidden, int, 0);
MODULE_PARM_DESC(hidden, "Can only be given when loading");
module_param_named(outside, inside, int, 0644);
MODULE_PARM_DESC(outside, "Has another name inside");

static int set_even(const char *value, const struct kernel_param *parameter)
{
	int number;
	int error = kstrtoint(value, 0, &number);

	if (error)
		return error;
	if (number & 1)
		return -EINVAL;
	even = number;
	return 0;
}

static int get_even(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%d\n", even);
}

static const struct kernel_param_ops even_ops = { .set = set_even, .get = get_even };
module_param_cb(even, &even_ops, &even, 0644);
MODULE_PARM_DESC(even, "A number that must be even");

static int __init params_init(void)
{
	pr_info("params: an_int=%d a_charp=%s an_array=%d,%d (%u)\n",
		an_int, a_charp, an_array[0], an_array[1], array_count);
	return 0;
}

static void __exit params_exit(void)
{
}

module_init(params_init);
module_exit(params_exit);
MODULE_DESCRIPTION("A parameter of every type");
MODULE_LICENSE("GPL");
