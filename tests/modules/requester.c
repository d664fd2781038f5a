// SPDX-License-Identifier: GPL-2.0
/* Asks user space for a module by whatever name it is told, as often as it is told. */
#include <linux/kmod.h>
#include <linux/module.h>

static char *name = "nothing";
module_param(name, charp, 0444);
static int times = 1;
module_param(times, int, 0444);

static int __init requester_init(void)
{
	int i, result = 0;

	for (i = 0; i < times; i++)
		result = request_module("%s", name);
	return result ? -ENOENT : 0;
}

static void __exit requester_exit(void)
{
}

module_init(requester_init);
module_exit(requester_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Asks for modules");
