/* busy THREADS: burns CPU in so many threads. Told "rename NAME" the main thread takes that name;
 * told "stop" all of them rest. */
#include "talk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_bool is_stopping;

static void *burn(void *unused) {
  while (!atomic_load(&is_stopping))
    burn_seconds(CLOCK_MONOTONIC, 0.01);
  return unused;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 1;
  for (int i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, burn, NULL))
      return 9;
  }
  say("ready");
  for (;;) {
    char *word = listen_for_word();
    if (!strncmp(word, "rename ", 7))
      name_myself(word + 7);
    else
      atomic_store(&is_stopping, true);
    say("done");
  }
}
