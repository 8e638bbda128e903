#!/usr/bin/python3
"""Reads a member's number from a chip card, as an app in any language can: member.py AID. Debian: python3-dbus, python3-gi."""

import os
import sys

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

name = bytes.fromhex(sys.argv[1])
bus = dbus.bus.BusConnection(os.environ["SMARTPOS_APP_BUS_ADDRESS"], mainloop=DBusGMainLoop())
loop = GLib.MainLoop()
number = None


def send(command):
    answer = bytes(claim.Exchange(dbus.ByteArray(command), byte_arrays=True))
    if answer[-2:] != b"\x90\x00":
        raise SystemExit("the card answers " + answer[-2:].hex())
    return answer[:-2]


def changed(state):
    global number
    if state == "present":
        claim.PowerOn()
        send(bytes([0x00, 0xA4, 0x04, 0x00, len(name)]) + name + b"\x00")
        number = send(bytes([0x00, 0xB0, 0x81, 0x00, 0x00])).decode()
        loop.quit()


bus.add_signal_receiver(changed, "StateChanged", "org.smartpos.CardClaim1")
bus.add_signal_receiver(lambda reason: loop.quit(), "Revoked", "org.smartpos.CardClaim1")
card = dbus.Interface(bus.get_object("org.smartpos.Card", "/org/smartpos/Card"), "org.smartpos.Card1")
path = card.Claim("contact", dbus.Dictionary({"timeout_s": dbus.UInt32(60)}, signature="sv"))
claim = dbus.Interface(bus.get_object("org.smartpos.Card", path), "org.smartpos.CardClaim1")
print("insert the card", flush=True)
loop.run()
if number:
    claim.Release()
    print("member", number)
sys.exit(0 if number else 1)
