#!/bin/sh
# Makes openssl-key-token.der: a key token whose cryptography is OpenSSL's (3.0), for the published sample certificates and the
# published key block. No published key token deciphers, so this is the witness of RSAES-OAEP.
# OAEP draws a seed, so each run makes another token.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hex() { xxd -p "$@" | tr -d '\n'; }
unhex() { printf %s "$1" | xxd -r -p; }
# A value of DER: its tag, and its content in hexadecimal.
tlv() {
    length=$((${#2} / 2))
    if [ $length -lt 128 ]; then printf '%s%02x%s' "$1" $length "$2"
    elif [ $length -lt 256 ]; then printf '%s81%02x%s' "$1" $length "$2"
    else printf '%s82%04x%s' "$1" $length "$2"; fi
}
# An attribute: its object identifier and its value.
attribute() { tlv 30 "$(tlv 06 "$1")$(tlv 31 "$2")"; }

openssl x509 -inform DER -in krd-1.der -out "$work/krd.pem"
openssl pkey -inform DER -in kdh-1-key.der -out "$work/kdh.key"
openssl cms -encrypt -binary -aes128 -in b-2-2-2-3-key-block.der -outform DER -out "$work/enveloped.cms" \
    -recip "$work/krd.pem" -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha256
# What is in the ContentInfo, behind its type.
offset=$(openssl asn1parse -inform DER -in "$work/enveloped.cms" | sed -n '4s/^ *\([0-9]*\):.*/\1/p')
openssl asn1parse -inform DER -in "$work/enveloped.cms" -strparse "$offset" -noout -out "$work/enveloped.der"

data=2a864886f70d010701 enveloped=2a864886f70d010703 sha256=300b0609608648016503040201
host=$(openssl asn1parse -inform DER -in b-2-2-2-3-key-block.der -strparse 6 -noout -out "$work/host.der" && hex "$work/host.der")
digest=$(openssl dgst -sha256 -r "$work/enveloped.der" | cut -c1-64)
attributes=$(attribute 2a864886f70d010903 "$(tlv 06 $enveloped)")
attributes=$attributes$(attribute $data "$(tlv 04 "$(printf A0256K0TB00E0000 | hex)")")
attributes=$attributes$(attribute 2a864886f70d01091903 "$(tlv 04 167eb0e72781e4940112233445566778)")
attributes=$attributes$(attribute 2a864886f70d010904 "$(tlv 04 "$digest")")
unhex "$(tlv 31 "$attributes")" >"$work/attributes.der"
openssl dgst -sha256 -sign "$work/kdh.key" -out "$work/signature" "$work/attributes.der"

signer=$(tlv 30 "020101$host$sha256$(tlv a0 "$attributes")300d06092a864886f70d01010b0500$(tlv 04 "$(hex "$work/signature")")")
content=$(tlv 30 "$(tlv 06 $enveloped)$(tlv a0 "$(tlv 04 "$(hex "$work/enveloped.der")")")")
signed=$(tlv 30 "020103$(tlv 31 $sha256)$content$(tlv a1 "$(hex crl.der)")$(tlv 31 "$signer")")
unhex "$(tlv 30 "06092a864886f70d010702$(tlv a0 "$signed")")" >openssl-key-token.der
