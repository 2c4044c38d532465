"""A parcel → the ORU^R01 that a destination is told it by."""

from __future__ import annotations

from datetime import datetime

from hub.outbox.config import MessageOptions
from hub.outbox.lanes import Consignment
from hub.outbox.parcels import Parcel
from hub.settings import CHINA, Destination
from mappers.datatypes import zone_of
from mappers.hl7v2_out.report import Envelope, Outgoing, Told, oru_from_report


def oru_of(consignment: Consignment, parcel: Parcel, options: MessageOptions, destination: Destination) -> Outgoing:
    """Raise CannotMap for a record that an ORU^R01 does not tell of."""
    sent_at = datetime.fromtimestamp(consignment.event.at / 1000, zone_of(CHINA))
    told = Told(
        parcel.focus, parcel.around, parcel.person, parcel.documents if options.documents else {}, withdrawn=parcel.withdrawn
    )
    own = "" if destination.facility == "*" else destination.facility
    envelope = Envelope(
        control_id=consignment.control_id,
        sent_at=sent_at,
        charset=options.charset,
        version=options.version,
        sending_application=options.sending_application,
        sending_facility=options.sending_facility or parcel.facility,
        receiving_application=options.receiving_application,
        receiving_facility=options.receiving_facility or own,
    )
    return oru_from_report(told, envelope)


def left_out(outgoing: Outgoing) -> str:
    """What the message could not say."""
    return ", ".join(dict.fromkeys(issue.where for issue in outgoing.issues))
