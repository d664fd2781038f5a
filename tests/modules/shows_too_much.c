// SPDX-License-Identifier: GPL-2.0
/* Files that show what they must not, use what they must not, or have no end. */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct record {
	char kind;
	int number;
	char text[20];
};

static struct record *record;
static struct proc_dir_entry *folder;
char seen;

static int __init noinline later(void)
{
	return 3;
}

static int (*called)(void) = later;

static ssize_t show(struct file *file, char __user *buffer, size_t size, loff_t *position)
{
	if (*position || size < sizeof(*record))
		return 0;
	*position = sizeof(*record);
	return copy_to_user(buffer, record, sizeof(*record)) ? -EFAULT : sizeof(*record);
}

static ssize_t endless(struct file *file, char __user *buffer, size_t size, loff_t *position)
{
	return copy_to_user(buffer, "again\n", 6) ? -EFAULT : 6;
}

static ssize_t init_code(struct file *file, char __user *buffer, size_t size, loff_t *position)
{
	return called() - 3;
}

static ssize_t raw(struct file *file, const char __user *buffer, size_t size, loff_t *position)
{
	seen = *(const volatile char __force *)buffer;
	return size;
}

static const struct proc_ops shows = { .proc_read = show };
static const struct proc_ops repeats = { .proc_read = endless };
static const struct proc_ops calls = { .proc_read = init_code };
static const struct proc_ops reads = { .proc_write = raw };

static int __init start(void)
{
	record = kmalloc(sizeof(*record), GFP_KERNEL);
	if (!record)
		return -ENOMEM;
	record->kind = 1;
	record->number = 2;
	folder = proc_mkdir("too_much", NULL);
	proc_create("leak", 0444, folder, &shows);
	proc_create("endless", 0444, folder, &repeats);
	proc_create("init", 0444, folder, &calls);
	proc_create("raw", 0666, folder, &reads);
	return 0;
}

static void __exit stop(void)
{
	proc_remove(folder);
	kfree(record);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
