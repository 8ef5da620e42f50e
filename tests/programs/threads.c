/* threads COUNT: so many threads that do nothing, the main thread included. */
#include "workload.h"

static void *rest(void *unused) {
  pause();
  return unused;
}

int main(int count, char **arguments) {
  for (int i = 1; i < (count > 1 ? atoi(arguments[1]) : 1); i++)
    start_thread(rest, NULL);
  say("ready");
  answer_all();
}
