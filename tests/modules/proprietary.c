// SPDX-License-Identifier: LGPL-2.1-or-later
/* A licence that taints the kernel and closes the GPL-only symbols. */
#include <linux/module.h>

static int __init proprietary_init(void)
{
	return 0;
}

static void __exit proprietary_exit(void)
{
}

module_init(proprietary_init);
module_exit(proprietary_exit);
MODULE_DESCRIPTION("Its licence is not compatible with the GPL");
MODULE_LICENSE("Proprietary");
