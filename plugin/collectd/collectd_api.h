/* collectd's headers, wherever they are: the installed development package (Debian), or with
 * DENET_COLLECTD_SOURCE a configured source tree. Nothing else includes collectd. */
#pragma once

#ifdef DENET_COLLECTD_SOURCE
#include "collectd.h"

#include "configfile.h"
#include "plugin.h"
#include "utils/common/common.h"
#include "utils/metadata/meta_data.h"
#else
#include <collectd/core/daemon/collectd.h>

#include <collectd/core/daemon/configfile.h>
#include <collectd/core/daemon/plugin.h>
#include <collectd/core/utils/common/common.h>
#include <collectd/core/utils/metadata/meta_data.h>
#endif
