// SPDX-License-Identifier: LGPL-2.1-or-later
/* init dies in the way it is told: an oops, a warning, a BUG, a panic. */
#include <linux/module.h>

static int how;
module_param(how, int, 0444);

static noinline void oopsinit_boom(void)
{
	*(volatile int *)NULL = 42;
}

static int __init on_load(void)
{
	pr_info("oopsinit: how=%d\n", how);
	switch (how) {
	case 0:
		oopsinit_boom();
		break;
	case 1:
		WARN(1, "oopsinit: a warning\n");
		break;
	case 2:
		BUG();
	case 3:
		panic("oopsinit: panic");
	}
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Dies in init");
MODULE_LICENSE("GPL");
