"""Enqueue a mail: producer.py ID SUBJECT ADDRESS..."""

import sys

from emails import EMAILS, Email

from relay_sdk import Client, JobExistsError

mail, subject, *addresses = sys.argv[1:]

with Client() as relay:  # the server at $RELAY_URL
    try:
        relay.enqueue(EMAILS.job(mail, Email(subject, to=addresses), timeout=30))
    except JobExistsError as error:
        sys.exit(str(error))  # the mail is not sent twice
