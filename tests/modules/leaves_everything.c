// SPDX-License-Identifier: GPL-2.0
/* Takes nothing of it back. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/reboot.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

static struct timer_list timer;
static struct delayed_work work;
static int cookie;

static void tick(struct timer_list *unused) { }
static void later(struct work_struct *unused) { }
static irqreturn_t handle(int irq, void *unused) { return IRQ_NONE; }
static int told(struct notifier_block *block, unsigned long action, void *data) { return 0; }
static struct notifier_block block = { .notifier_call = told };
static const struct file_operations operations = { .owner = THIS_MODULE };
static const struct proc_ops proc_operations;
static struct miscdevice device = { MISC_DYNAMIC_MINOR, "forgotten", &operations };

static int idle(void *unused)
{
	while (!kthread_should_stop())
		msleep(1000000);
	return 0;
}

static int __init start(void)
{
	timer_setup(&timer, tick, 0);
	mod_timer(&timer, jiffies + 1000 * HZ);
	INIT_DELAYED_WORK(&work, later);
	schedule_delayed_work(&work, 1000 * HZ);
	kthread_run(idle, NULL, "forgotten");
	register_reboot_notifier(&block);
	debugfs_create_dir("forgotten", NULL);
	proc_create("forgotten", 0444, NULL, &proc_operations);
	misc_register(&device);
	return request_irq(9, handle, IRQF_SHARED, "forgotten", &cookie);
}

static void __exit stop(void)
{
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
