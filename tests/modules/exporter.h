/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/version.h>

/* Since 6.13 a namespace is a string. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define LKM_TEST "LKM_TEST"
#endif

extern int lkm_test_value;
int lkm_test_add(int a, int b);
int lkm_test_gpl(int a);
int lkm_test_spaced(int a);
int lkm_test_spaced_gpl(int a);
int lkm_test_stuck(int a);
