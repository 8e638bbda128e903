#!/usr/bin/python3
"""Sells for an amount in minor units, as an app in any language can: sell.py AMOUNT KEY. Debian: python3-dbus, python3-gi."""

import os
import sys

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

amount, key = int(sys.argv[1]), sys.argv[2]
bus = dbus.bus.BusConnection(os.environ["SMARTPOS_APP_BUS_ADDRESS"], mainloop=DBusGMainLoop())
loop = GLib.MainLoop()
outcome = None


def completed(how, result):
    global outcome
    outcome = str(how)
    print(outcome, result.get("masked_pan", ""), result.get("reason", ""))
    loop.quit()


payment = dbus.Interface(bus.get_object("org.smartpos.Payment", "/org/smartpos/Payment"), "org.smartpos.Payment1")
bus.add_signal_receiver(completed, "Completed", "org.smartpos.Transaction1")
bus.add_signal_receiver(lambda state, step, details: print(state, step), "StateChanged", "org.smartpos.Transaction1")
payment.StartSale(dbus.UInt64(amount), "CNY", key, dbus.Dictionary({}, signature="sv"))
GLib.timeout_add_seconds(90, loop.quit)
loop.run()
sys.exit(0 if outcome == "approved" else 1)
