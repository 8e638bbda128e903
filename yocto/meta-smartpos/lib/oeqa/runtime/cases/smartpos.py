"""The terminal's daemons in a running image: TEST_SUITES:append = " smartpos"."""

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage

DAEMONS = {
    "smartpos-cardd": "smartpos-card",
    "smartpos-paymentd": "smartpos-payment",
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
        self.succeeds("posctl status")
