/* collectd's headers, wherever they are: the installed development package (Debian), or with
 * DENET_COLLECTD_SOURCE a configured source tree. Nothing else includes collectd. */
#pragma once

#ifdef DENET_COLLECTD_SOURCE
#include "collectd.h"

#include "configfile.h"
#include "plugin.h"
#else
#include <collectd/core/daemon/collectd.h>

#include <collectd/core/daemon/configfile.h>
#include <collectd/core/daemon/plugin.h>
#endif
