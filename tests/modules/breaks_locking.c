// SPDX-License-Identifier: GPL-2.0
/* Breaks one rule of locking, the one that its parameter says. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *rule = "";
module_param(rule, charp, 0);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);
static struct timer_list timer;

static void takes_spin(struct timer_list *unused)
{
	spin_lock(&spin);
	spin_unlock(&spin);
}

static void sleeps(struct timer_list *unused)
{
	msleep(1);
}

static int other(void *unused)
{
	mutex_lock(&second);
	msleep(20);
	mutex_lock(&first);
	return 0;
}

static void run_timer(void (*function)(struct timer_list *))
{
	timer_setup(&timer, function, 0);
	mod_timer(&timer, jiffies + 2);
	msleep(50);
}

static int __init start(void)
{
	if (!strcmp(rule, "twice")) {
		spin_lock(&spin);
		spin_lock(&spin);
	} else if (!strcmp(rule, "order")) {
		mutex_lock(&first);
		mutex_lock(&second);
		mutex_unlock(&second);
		mutex_unlock(&first);
		mutex_lock(&second);
		mutex_lock(&first);
		mutex_unlock(&first);
		mutex_unlock(&second);
	} else if (!strcmp(rule, "each-other")) {
		kthread_run(other, NULL, "other");
		mutex_lock(&first);
		msleep(40);
		mutex_lock(&second);
	} else if (!strcmp(rule, "kept")) {
		mutex_lock(&first);
		return -EINVAL;
	} else if (!strcmp(rule, "stray")) {
		mutex_unlock(&first);
	} else if (!strcmp(rule, "sleep")) {
		spin_lock(&spin);
		msleep(1);
		spin_unlock(&spin);
	} else if (!strcmp(rule, "sleep-in-timer")) {
		run_timer(sleeps);
	} else if (!strcmp(rule, "context")) {
		run_timer(takes_spin);
		spin_lock(&spin);
		spin_unlock(&spin);
	}
	return 0;
}

static void __exit stop(void)
{
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
