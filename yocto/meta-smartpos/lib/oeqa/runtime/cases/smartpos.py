"""The terminal's daemons in a running image: TEST_SUITES:append = " smartpos".

An image has no credentials, and without them systemd leaves paymentd out.
"""

import json

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage

DAEMONS = {
    "smartpos-cardd": "smartpos-card",
    "smartpos-printerd": "smartpos-printer",
}


class SmartposTest(OERuntimeTestCase):
    def succeeds(self, command):
        status, output = self.target.run(command)
        self.assertEqual(status, 0, msg="`%s`: %s" % (command, output))
        return output.strip()

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["smartpos-common"])
    def test_every_daemon_is_active_as_its_own_user(self):
        for unit, user in DAEMONS.items():
            self.succeeds("systemctl is-active %s.service" % unit)
            pid = self.succeeds("systemctl show --property MainPID --value %s.service" % unit)
            self.assertEqual(self.succeeds("stat -c %%U /proc/%s" % pid), user)

    @OETestDepends(["smartpos.SmartposTest.test_every_daemon_is_active_as_its_own_user"])
    @OEHasPackage(["posctl"])
    def test_the_operator_reaches_the_daemons(self):
        # It fails as a whole while one service is not there.
        _, output = self.target.run("posctl --json status")
        services = json.loads(output)
        for name in ("card", "printer"):
            self.assertIn("state", services[name], msg=output)

    @OETestDepends(["smartpos.SmartposTest.test_every_daemon_is_active_as_its_own_user"])
    def test_paymentd_waits_for_its_credentials_and_has_not_failed(self):
        if self.target.run("test -e /etc/smartpos/credentials/host-root-ca.pem")[0] == 0:
            self.skipTest("this terminal has credentials")
        self.assertEqual(self.succeeds("systemctl show --property Result --value smartpos-paymentd.service"), "success")
