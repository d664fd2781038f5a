// SPDX-License-Identifier: LGPL-2.1-or-later
/* Exports of each kind: for all, GPL only, in a namespace, a function and data. */
#include <linux/module.h>
#include "exporter.h"

int lkm_test_value = 42;
EXPORT_SYMBOL(lkm_test_value);

int lkm_test_add(int a, int b)
{
	return a + b;
}
EXPORT_SYMBOL(lkm_test_add);

int lkm_test_gpl(int a)
{
	return -a;
}
EXPORT_SYMBOL_GPL(lkm_test_gpl);

int lkm_test_spaced(int a)
{
	return a * 2;
}
EXPORT_SYMBOL_NS(lkm_test_spaced, LKM_TEST);

int lkm_test_spaced_gpl(int a)
{
	return a * 3;
}
EXPORT_SYMBOL_NS_GPL(lkm_test_spaced_gpl, LKM_TEST);

MODULE_DESCRIPTION("Exports symbols of each kind");
MODULE_LICENSE("GPL");
