/* SPDX-License-Identifier: LGPL-2.1-or-later */
extern int lkm_test_value;
int lkm_test_add(int a, int b);
int lkm_test_gpl(int a);
int lkm_test_spaced(int a);
int lkm_test_spaced_gpl(int a);
int lkm_test_stuck(int a);
