// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A module that does a little of everything: parameters of several types, an exported function,
 * and a device /dev/hello that keeps what is written to it.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define ROOM 256

static int num = 3;
module_param(num, int, 0644);
MODULE_PARM_DESC(num, "what hello_add adds; may change while the module is loaded");

static char *who = "world";
module_param(who, charp, 0444);
MODULE_PARM_DESC(who, "whom to greet");

static bool loud;
module_param(loud, bool, 0644);
MODULE_PARM_DESC(loud, "greet with an exclamation mark, and log each write");

static ushort primes[4] = { 2, 3, 5, 7 };
static int primes_given = ARRAY_SIZE(primes);
module_param_array(primes, ushort, &primes_given, 0444);
MODULE_PARM_DESC(primes, "up to four numbers");

struct note {
	struct mutex lock;	/* protects text and length */
	size_t length;
	char text[ROOM];
};

static struct note *note;

int hello_add(int a, int b);	/* for whoever uses it; a header of one's own is the usual place */

int hello_add(int a, int b)
{
	return a + b + num;
}
EXPORT_SYMBOL_GPL(hello_add);

static ssize_t hello_read(struct file *file, char __user *to, size_t size, loff_t *position)
{
	ssize_t done;

	mutex_lock(&note->lock);
	done = simple_read_from_buffer(to, size, position, note->text, note->length);
	mutex_unlock(&note->lock);
	return done;
}

static ssize_t hello_write(struct file *file, const char __user *from, size_t size,
			   loff_t *position)
{
	if (size > ROOM)
		return -EMSGSIZE;

	mutex_lock(&note->lock);
	note->length = 0;
	if (copy_from_user(note->text, from, size)) {
		mutex_unlock(&note->lock);
		return -EFAULT;
	}
	note->length = size;
	mutex_unlock(&note->lock);

	if (loud)
		pr_info("hello: somebody wrote %zu bytes\n", size);
	return size;
}

static const struct file_operations hello_operations = {
	.owner = THIS_MODULE,
	.read = hello_read,
	.write = hello_write,
};

static struct miscdevice hello_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hello",
	.fops = &hello_operations,
	.mode = 0666,
};

static int __init hello_init(void)
{
	int error;

	note = kzalloc(sizeof(*note), GFP_KERNEL);
	if (!note)
		return -ENOMEM;
	mutex_init(&note->lock);

	error = misc_register(&hello_device);
	if (error) {
		kfree(note);
		return error;
	}
	pr_info("hello: hello, %s%s (num=%d, %d primes)\n", who, loud ? "!" : "", num,
		primes_given);
	return 0;
}

static void __exit hello_exit(void)
{
	misc_deregister(&hello_device);
	kfree(note);
	pr_info("hello: goodbye, %s\n", who);
}

module_init(hello_init);
module_exit(hello_exit);

MODULE_AUTHOR("The lkm authors");
MODULE_DESCRIPTION("Parameters, an export and a device");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
