/* watch.h: the parent of `insula serve`. */
#ifndef HOST_WATCH_H
#define HOST_WATCH_H

/* Runs child(arg) in a process of its own and again when it crashes. dir (may be NULL) is where the
 * ledger of crashes is kept. Returns an exit status. */
int watch_run(int (*child)(void *), void *arg, const char *dir);
/* In the child: tell the parent which plugin's code was running when the process dies. */
void watch_child_init(void);
/* In the child: 1 if the parent wants the plugin left out. */
int watch_quarantined(const char *plugin);

#endif
