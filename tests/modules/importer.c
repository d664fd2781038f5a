// SPDX-License-Identifier: LGPL-2.1-or-later
/* Needs exporter: depends, a namespace, a symbol that may be missing. */
#include <linux/module.h>
#include "exporter.h"

extern int __weak lkm_test_absent(int a);

static int __init importer_init(void)
{
	pr_info("importer: %d %d %d\n", lkm_test_add(lkm_test_value, 1), lkm_test_gpl(1),
		lkm_test_spaced(4) + lkm_test_spaced_gpl(4));
	return lkm_test_absent ? lkm_test_absent(0) : 0;
}

static void __exit importer_exit(void)
{
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_DESCRIPTION("Needs the exporter");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(LKM_TEST);
