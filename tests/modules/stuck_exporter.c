// SPDX-License-Identifier: LGPL-2.1-or-later
/* Exports a symbol, and its init never ends well: it oopses, so the module stays Loading. */
#include <linux/module.h>
#include "exporter.h"

int lkm_test_stuck(int a)
{
	return a;
}
EXPORT_SYMBOL(lkm_test_stuck);

static int __init stuck_exporter_init(void)
{
	*(volatile int *)NULL = 1;
	return 0;
}

module_init(stuck_exporter_init);
MODULE_DESCRIPTION("Exports a symbol and stays Loading");
MODULE_LICENSE("GPL");
