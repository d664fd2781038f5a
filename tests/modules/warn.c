// SPDX-License-Identifier: LGPL-2.1-or-later
/* init runs into a WARN. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init on_load(void)
{
	WARN(1, "warn: as it was told\\n");
	return 0;
}

static void __exit on_unload(void)
{
}

module_init(on_load);
module_exit(on_unload);
MODULE_DESCRIPTION("Runs into a WARN");
MODULE_LICENSE("GPL");
