SUMMARY = "What makes a terminal of a machine"
SUMMARY:${PN}-tools = "What an operator of a terminal types"
DESCRIPTION = "The smartpos daemons, and apart from them what an operator types."
HOMEPAGE = "https://github.com/smartpos/smartpos"

inherit packagegroup

PACKAGES = "${PN} ${PN}-tools"

RDEPENDS:${PN} = " \
    smartpos-cardd \
    smartpos-common \
    smartpos-paymentd \
    smartpos-printerd \
"
RDEPENDS:${PN}-tools = "posctl"
