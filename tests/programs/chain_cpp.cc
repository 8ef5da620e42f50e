// chain_cpp: sleeps 5 ms at a time in functions whose names the compiler mangles: a method, a
// template and a lambda. Ends at the end of its input.
#include <poll.h>
#include <unistd.h>

namespace waits {

struct Turn {
  int count = 0;
  __attribute__((noinline)) int sleep_in_method(useconds_t us) {
    count++;
    return usleep(us) + count;
  }
};

template <typename Number> __attribute__((noinline)) Number in_template(Turn &turn, Number us) {
  return turn.sleep_in_method(static_cast<useconds_t>(us)) + us;
}

} // namespace waits

int main() {
  struct pollfd input = {STDIN_FILENO, 0, 0};
  waits::Turn turn;
  auto in_lambda = [&turn](long us) __attribute__((noinline)) {
    return waits::in_template<long>(turn, us) + turn.count;
  };
  if (write(STDOUT_FILENO, "ready\n", 6) != 6)
    return 1;
  volatile long sum = 0; // so that no call is the last thing that a function does
  while (poll(&input, 1, 0) == 0)
    sum = sum + in_lambda(5000);
}
