// SPDX-License-Identifier: LGPL-2.1-or-later
/* Needs stuck_exporter, whose init never ends. */
#include <linux/module.h>
#include "exporter.h"

static int __init stuck_importer_init(void)
{
	return lkm_test_stuck(0);
}

module_init(stuck_importer_init);
MODULE_DESCRIPTION("Needs a module that stays Loading");
MODULE_LICENSE("GPL");
