#!/usr/bin/python3
"""Decodes AMQP values and messages with Qpid Proton and encodes them again. README.md tells the contract.

Every node of a value is taken out of Proton as a Python object and put back, so that it has been understood and not only
carried. So are the annotations, application-properties and body of a message; the rest of it Proton keeps in C.
"""

import sys

from proton import Data, DataException, Message, MessageException


def copy_all(source, target):
    while source.next():
        copy(source, target)


def copy(source, target):
    kind = source.type()
    # Neither a dict nor a list in Python can hold every key or element that AMQP has.
    if kind == Data.LIST:
        target.put_list()
    elif kind == Data.MAP:
        target.put_map()
    elif kind == Data.DESCRIBED:
        target.put_described()
    elif kind == Data.ARRAY:
        _, described, element = source.get_array()
        if element is None:
            raise ValueError("an array of elements of no type")
        target.put_array(described, element)
    else:
        target.put_object(source.get_object())
        return
    source.enter()
    target.enter()
    copy_all(source, target)
    target.exit()
    source.exit()


def message(octets):
    decoded = Message()
    decoded.decode(octets)
    return decoded.encode()


def value(octets):
    source, target = Data(), Data()
    taken = source.decode(octets)
    if taken != len(octets):
        raise ValueError(f"{taken} of {len(octets)} octets taken")
    source.rewind()
    copy_all(source, target)
    return target.encode()


def main():
    for line in sys.stdin:
        try:
            *mode, octets = line.split()
            answer = message if mode == ["message"] else value
            print(answer(bytes.fromhex(octets)).hex())
        except (DataException, MessageException, ValueError, TypeError, OverflowError, KeyError) as error:
            print("error:", type(error).__name__, str(error).replace("\n", " "))
    sys.stdout.flush()


main()
