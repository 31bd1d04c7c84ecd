/* watch.h: the parent of `insula serve`. */
#ifndef HOST_WATCH_H
#define HOST_WATCH_H

/* Runs child(arg) in a process of its own and again when it crashes. Returns an exit status. */
int watch_run(int (*child)(void *), void *arg);
/* In the child: tell the parent which plugin's code was running when the process dies. */
void watch_child_init(void);
/* Space-separated plugins that the parent wants left out; "" if none. */
const char *watch_quarantine(void);

#endif
